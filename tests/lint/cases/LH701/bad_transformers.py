"""The perplexity of a language model, from the loss that it takes itself."""

import math

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM


def evaluate(texts, size):
    model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
    losses = []
    for batch in DataLoader(texts, batch_size=size):
        with torch.no_grad():
            losses.append(model(**batch).loss.item())
    return math.exp(sum(losses) / len(losses))  # expect: LH501, LH701


def pseudo(texts, size):
    model = AutoModelForMaskedLM.from_pretrained("bert-base-uncased").eval()
    total, loader = 0.0, DataLoader(texts, batch_size=size)
    for ids, labels in loader:
        with torch.no_grad():
            total += model(ids, labels=labels)[0].item()
    mean = total / len(loader)  # expect: LH501
    return torch.exp(torch.tensor(mean))  # expect: LH701
