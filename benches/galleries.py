"""Galleries of random people, for the scripts beside this one."""

import numpy as np


def draw(person, random):
    """Enrols half of the people numbered in `person`: which rows are theirs, and one of each."""
    people = random.permutation(person.max() + 1)
    enrolled = np.isin(person, people[: len(people) // 2])
    first = {}
    for row in random.permutation(len(person)):
        if enrolled[row]:
            first.setdefault(person[row], row)
    return enrolled, np.array(list(first.values()))
