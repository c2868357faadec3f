"""Threads that hand work to one another, and processes that do it at the same time."""
import hashlib
import queue
import subprocess
import threading

work, done = queue.Queue(4), queue.Queue()


def worker():
    while (item := work.get()) is not None:
        digest = hashlib.sha256(str(item).encode() * 50)
        numbers = sorted((item * k) % 1009 for k in range(300))
        done.put((item, digest.hexdigest(), sum(n / (k + 1) for k, n in enumerate(numbers)).hex()))


threads = [threading.Thread(target=worker) for _ in range(4)]
for thread in threads:
    thread.start()
children = [subprocess.Popen(["/bin/sh", "-c", f"echo $(({n} * 7919 % 97))"], stdout=subprocess.PIPE) for n in range(6)]
for item in range(400):
    work.put(item)
for _ in threads:
    work.put(None)
for thread in threads:
    thread.join()
results = sorted(done.get() for _ in range(400))
print(hashlib.sha256(repr(results).encode()).hexdigest())
print([child.communicate()[0] for child in children])
