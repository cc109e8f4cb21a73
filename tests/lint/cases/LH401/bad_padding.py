"""Padded targets without an ignore_index, or with one that is not the padding."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

PAD, VOCAB = 1, 200


class Pairs(Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        words, tags = self.pairs[i]
        return torch.tensor(words, dtype=torch.long), torch.tensor(tags, dtype=torch.long)


def collate(batch):
    words, tags = zip(*batch, strict=True)
    return pad_sequence(words, True, PAD), pad_sequence(tags, batch_first=True)


class Batcher:
    def __init__(self, pad_idx):
        self.pad_idx = pad_idx

    def __call__(self, sentences):
        return pad_sequence(sentences, batch_first=True, padding_value=self.pad_idx)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 32, batch_first=True)
        self.fc = nn.Linear(32, VOCAB)

    def forward(self, ids):
        return self.fc(self.gru(self.embed(ids))[0])


def tagging(pairs):
    model, criterion = Model(), nn.CrossEntropyLoss()
    for words, tags in DataLoader(Pairs(pairs), batch_size=8, collate_fn=collate):
        logits = model(words)
        loss = criterion(logits.reshape(-1, VOCAB), tags.reshape(-1))  # expect: LH401
        loss.backward()


def another_index(sentences):
    ids = pad_sequence(sentences, batch_first=True, padding_value=PAD)
    logits = Model()(ids[:, :-1])
    return F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], ignore_index=0)  # expect: LH401


def step_by_step(sentences):
    ids = pad_sequence(sentences, batch_first=True, padding_value=PAD)
    logits, loss = Model()(ids), 0.0
    for t in range(ids.size(1) - 1):
        loss = loss + F.cross_entropy(logits[:, t], ids[:, t + 1])  # expect: LH401
    return loss


def of_an_object(sentences, pad_idx):
    model = Model()
    for ids in DataLoader(sentences, batch_size=8, collate_fn=Batcher(pad_idx)):
        logits = model(ids[:, :-1]).flatten(0, 1)
        F.cross_entropy(logits, ids[:, 1:].flatten()).backward()  # expect: LH401


def log_probabilities(sentences):
    ids = pad_sequence(sentences, batch_first=True).to("cuda")
    scores = F.log_softmax(Model()(ids), dim=-1)
    return nn.NLLLoss()(scores.view(-1, VOCAB), ids.view(-1))  # expect: LH401


def language_model(model, tokenizer, texts, device):
    batch = tokenizer(texts, padding="max_length", max_length=128, truncation=True, return_tensors="pt").to(
        device
    )
    logits = model(batch.input_ids).logits
    shifted = logits[:, :-1].contiguous()
    labels = batch.input_ids[:, 1:].contiguous()
    return F.cross_entropy(shifted.view(-1, shifted.size(-1)), labels.view(-1))  # expect: LH401


def filled_up_by_hand(sentences, longest):
    rows = [F.pad(s, (0, longest - len(s)), value=PAD) for s in sentences]
    target = torch.stack(rows)
    loss = F.cross_entropy(Model()(target).flatten(0, 1), target.flatten())  # expect: LH401
    return loss
