"""The loss that a model of transformers takes itself, of the labels that it is given."""

import torch
from transformers import AutoModelForSequenceClassification, GPT2LMHeadModel


def tune(loader, steps):
    model = AutoModelForSequenceClassification.from_pretrained("bert-base-uncased", num_labels=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    for i, batch in enumerate(loader):
        loss = model(**batch).loss
        loss.backward()  # expect: LH502
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def continue_training(loader, steps):
    model = GPT2LMHeadModel.from_pretrained("gpt2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    for i, ids in enumerate(loader):
        outputs = model(ids, labels=ids)
        outputs[0].mean().backward()  # expect: LH502
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()
