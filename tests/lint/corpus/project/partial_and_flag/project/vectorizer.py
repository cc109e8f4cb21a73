import string

import torch

LETTERS = string.ascii_lowercase + "'- "


def vectorize(surname):
    vector = torch.zeros(len(LETTERS))
    for letter in surname.lower():
        if letter in LETTERS:
            vector[LETTERS.index(letter)] = 1.0
    return vector


def collate(pairs):
    return torch.stack([vectorize(name) for name, _ in pairs]), torch.tensor([label for _, label in pairs])
