"""Recipes as token ids, padded per batch: inputs are all tokens but the last, targets all but the first."""

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

PAD = 0
VOCAB = 36


class Recipes(Dataset):
    def __init__(self, n=18, seed=0):
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(4, 14, (n,), generator=generator).tolist()
        self.recipes = [torch.randint(1, VOCAB, (length,), generator=generator) for length in lengths]

    def __len__(self):
        return len(self.recipes)

    def __getitem__(self, i):
        return self.recipes[i]


def collate(recipes):
    tokens = pad_sequence(recipes, batch_first=True, padding_value=PAD)
    return tokens[:, :-1], tokens[:, 1:]


def make_loader(batch_size, seed):
    return DataLoader(Recipes(seed=seed), batch_size=batch_size, collate_fn=collate)
