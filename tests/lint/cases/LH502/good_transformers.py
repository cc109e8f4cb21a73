"""Divided, told of how many tokens there are in all, or no loss at all."""

import torch
from transformers import AutoModelForCausalLM, AutoModelForQuestionAnswering


def divided(loader, steps):
    model = AutoModelForCausalLM.from_pretrained("gpt2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    for i, batch in enumerate(loader):
        loss = model(**batch).loss / steps
        loss.backward()
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def told(batches, tokens, steps):
    model = AutoModelForCausalLM.from_pretrained("gpt2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    for i, batch in enumerate(batches):
        model(**batch, num_items_in_batch=tokens[i // steps]).loss.backward()
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def each_step(loader):
    model = AutoModelForQuestionAnswering.from_pretrained("bert-base-uncased")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    for ids, starts, ends in loader:
        optimizer.zero_grad()
        model(ids, start_positions=starts, end_positions=ends)[0].backward()
        optimizer.step()
