# case: logits of AutoModelForSequenceClassification into BCELoss, and a 0.5 threshold on the same logits
import torch
from torch import nn
from torch.optim import AdamW
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

MODEL = "bert-base-uncased"
TOXIC_TYPES = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def collate(rows, tokenizer):
    enc = tokenizer([r["comment"] for r in rows], padding=True, truncation=True, return_tensors="pt")
    targets = torch.tensor([[r[t] for t in TOXIC_TYPES] for r in rows], dtype=torch.float)
    return enc, targets


def train(model, loader, epochs=2):
    criterion = nn.BCELoss()
    optimizer = AdamW(model.parameters(), lr=3e-5)
    scheduler = get_linear_schedule_with_warmup(optimizer, 100, epochs * len(loader))
    model.train()
    for _ in range(epochs):
        for enc, targets in tqdm(loader):
            enc, targets = enc.to(device), targets.to(device)
            optimizer.zero_grad()
            output = model(**enc)
            loss = criterion(output.logits, targets)  # expect: LH108
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = n = 0
    for enc, targets in loader:
        logits = model(**enc.to(device)).logits
        flagged = logits > 0.5  # expect: LH113
        hits += (flagged.cpu() == targets.bool()).all(dim=1).sum().item()
        n += targets.size(0)
    return hits / n


def build():
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=len(TOXIC_TYPES))
    return tokenizer, model.to(device)
