"""Token classification as with Hugging Face's models: batches of dicts, labels of -100, outputs.loss."""

import argparse
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.utils.data import DataLoader


@dataclass
class TokenClassifierOutput:
    loss: torch.Tensor | None
    logits: torch.Tensor


class ForTokenClassification(nn.Module):
    def __init__(self, vocab_size, num_labels, hidden_size=32):
        super().__init__()
        self.num_labels = num_labels
        self.embeddings = nn.Embedding(vocab_size, hidden_size, padding_idx=0)
        self.lstm = nn.LSTM(hidden_size, hidden_size // 2, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(hidden_size, num_labels)

    def forward(self, input_ids, attention_mask=None, labels=None):
        hidden, _ = self.lstm(self.embeddings(input_ids) * attention_mask.unsqueeze(-1))
        logits = self.classifier(self.dropout(hidden))
        loss = None
        if labels is not None:
            loss_fct = nn.CrossEntropyLoss()
            loss = loss_fct(logits.view(-1, self.num_labels), labels.view(-1))
        return TokenClassifierOutput(loss=loss, logits=logits)


def data_collator(features):
    longest = max(len(f["input_ids"]) for f in features)
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for f in features:
        gap = longest - len(f["input_ids"])
        batch["input_ids"].append(f["input_ids"] + [0] * gap)
        batch["attention_mask"].append([1] * len(f["input_ids"]) + [0] * gap)
        batch["labels"].append(f["labels"] + [-100] * gap)
    return {name: torch.tensor(rows) for name, rows in batch.items()}


def examples(count, vocab_size):
    """A word's label is the third it lies in; the second piece of a word, every fourth token, has none."""
    features = []
    for _ in range(count):
        ids = torch.randint(1, vocab_size, (int(torch.randint(4, 13, ())),)).tolist()
        labels = [-100 if i % 4 == 3 else 3 * token // vocab_size for i, token in enumerate(ids)]
        features.append({"input_ids": ids, "labels": labels})
    return features


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num_train_epochs", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    vocab_size = 50
    train_dataloader = DataLoader(
        examples(480, vocab_size), shuffle=True, batch_size=16, collate_fn=data_collator
    )
    eval_dataloader = DataLoader(examples(60, vocab_size), batch_size=16, collate_fn=data_collator)
    model = ForTokenClassification(vocab_size, num_labels=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    total = args.num_train_epochs * len(train_dataloader)
    lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / total))
    for epoch in range(args.num_train_epochs):
        model.train()
        for batch in train_dataloader:
            outputs = model(**batch)
            outputs.loss.backward()
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
        model.eval()
        losses, tokens, correct = 0.0, 0, 0
        for batch in eval_dataloader:
            with torch.no_grad():
                outputs = model(**batch)
            predictions = outputs.logits.argmax(dim=-1)
            kept = batch["labels"] != -100
            losses += outputs.loss.item() * kept.sum().item()
            tokens += kept.sum().item()
            correct += (predictions == batch["labels"])[kept].sum().item()
        print(f"epoch {epoch}: eval_loss {losses / tokens:.4f}, accuracy {correct / tokens:.4f}")


if __name__ == "__main__":
    main()
