"""Spam or not, as two classes with cross-entropy."""

import torch
import torch.nn as nn
from torch.nn import functional as F

torch.manual_seed(3)

VOCAB_SIZE = 60
EMBED_DIM = 10
NUM_CLASSES = 2


class SpamClassifier(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        initrange = 0.5
        self.embedding.weight.data.uniform_(-initrange, initrange)
        self.fc.weight.data.uniform_(-initrange, initrange)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        embedded = self.embedding(text, offsets)
        return self.fc(embedded)


def make_batch(n_messages):
    lengths = torch.randint(3, 9, (n_messages,))
    text = torch.randint(0, VOCAB_SIZE, (int(lengths.sum()),))
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)[:-1]])
    label = torch.randint(0, NUM_CLASSES, (n_messages,))
    return label, text, offsets


model = SpamClassifier(VOCAB_SIZE, EMBED_DIM, NUM_CLASSES)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.5)
training = [make_batch(n) for n in (12, 12, 7)]

for _ in range(3):
    model.train()
    for label, text, offsets in training:
        optimizer.zero_grad()
        predicted_label = model(text, offsets)
        loss = F.cross_entropy(predicted_label, label)
        loss.backward()
        optimizer.step()
    scheduler.step()

model.eval()
total_acc, total_count, total_nll = 0, 0, 0.0
with torch.no_grad():
    for label, text, offsets in training:
        predicted_label = model(text, offsets)
        total_nll += F.cross_entropy(predicted_label, label, reduction="sum").item()
        total_acc += (predicted_label.argmax(1) == label).sum().item()
        total_count += label.size(0)
nll, accuracy = total_nll / total_count, total_acc / total_count
print(f"nll {nll:.6f} accuracy {accuracy:.4f}")
