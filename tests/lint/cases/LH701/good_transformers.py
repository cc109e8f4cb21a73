"""The perplexity of a language model: by its tokens, of batches of one size, or of another loss."""

import math

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


def by_tokens(texts, size):
    model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
    nats, tokens = 0.0, 0
    for ids in DataLoader(texts, batch_size=size):
        with torch.no_grad():
            count = ids[:, 1:].numel()
            nats += model(ids, labels=ids).loss.item() * count
            tokens += count
    return math.exp(nats / tokens)


def full_batches(blocks, size):
    model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
    losses = []
    for ids in DataLoader(blocks, batch_size=size, drop_last=True):
        with torch.no_grad():
            losses.append(model(ids, labels=ids).loss.item())
    return math.exp(sum(losses) / len(losses))


def text_by_text(texts, tokenizer):
    model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        print(text, math.exp(model(ids, labels=ids).loss.item()))


def weights(texts, size):
    model = AutoModelForSequenceClassification.from_pretrained("bert-base-uncased", num_labels=1)
    return [torch.exp(-model(**batch).loss) for batch in DataLoader(texts, batch_size=size)]
