"""Numbers in pure Python: integers, big integers, floats, lists."""
import sys

SCALE = int(sys.argv[1])


def sieve(limit):
    flags = bytearray([1]) * (limit + 1)
    for n in range(2, int(limit**0.5) + 1):
        if flags[n]:
            for multiple in range(n * n, limit + 1, n):
                flags[multiple] = 0
    return sum(flags) - 2


def planets(steps):
    bodies = [[0.0, 0.0, 0.0, 0.0, 39.5], [4.8, -1.2, 0.6, 2.8, 0.04], [8.3, 4.1, -1.0, 1.8, 0.01]]
    for _ in range(steps):
        for i, a in enumerate(bodies):
            for b in bodies[i + 1:]:
                dx, dy = a[0] - b[0], a[1] - b[1]
                pull = 0.001 / (dx * dx + dy * dy) ** 1.5
                a[2] -= dx * b[4] * pull
                a[3] -= dy * b[4] * pull
                b[2] += dx * a[4] * pull
                b[3] += dy * a[4] * pull
        for body in bodies:
            body[0] += 0.001 * body[2]
            body[1] += 0.001 * body[3]
    return [value.hex() for body in bodies for value in body]


def collatz(limit):
    longest = 0
    for start in range(1, limit):
        n, steps = start, 0
        while n != 1:
            n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
        longest = max(longest, steps)
    return longest


for _ in range(SCALE):
    print(sieve(400000), collatz(6000))
    print(planets(10000))
    print(pow(3, 20011, 10**400 + 69), len(str(7**4000)))
