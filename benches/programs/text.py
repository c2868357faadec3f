"""Text in pure Python: dictionaries, JSON, regular expressions, sorting, objects."""
import collections
import hashlib
import json
import random
import re
import sys

SCALE = int(sys.argv[1])


class Word:
    def __init__(self, text, count):
        self.text, self.count = text, count

    def __lt__(self, other):
        return (self.count, self.text) < (other.count, other.text)


def words(count):
    source = random.Random(7)
    letters = "aeioubcdlmnrst"
    return ["".join(source.choice(letters) for _ in range(source.randint(2, 7))) for _ in range(count)]


def once():
    text = " ".join(words(6000))
    counts = collections.Counter(re.findall(r"\b[a-z]*[aeiou][bcd]\w*\b", text))
    ranked = sorted(Word(text, count) for text, count in counts.items())
    records = [{"word": w.text, "count": w.count, "half": w.count / 2, "tags": list(w.text)} for w in ranked]
    again = json.loads(json.dumps(records, indent=1))
    assert again == records
    replaced = re.sub(r"(\w)(\w)\b", lambda found: found.group(2) + found.group(1).upper(), text)
    print(len(ranked), hashlib.md5(json.dumps(again).encode()).hexdigest(), hashlib.sha1(replaced.encode()).hexdigest())


for _ in range(3 * SCALE):
    once()
