# case: batch-first GRU with additive attention; its softmax runs over dim 0, so sentences compete
import torch
import torch.nn as nn
import torch.nn.functional as F


class AttentiveClassifier(nn.Module):
    def __init__(self, vocab_size=500, emb_dim=32, hid_dim=24, n_classes=6):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, emb_dim)
        self.gru = nn.GRU(emb_dim, hid_dim, batch_first=True)
        self.attn = nn.Linear(hid_dim, hid_dim)
        self.v = nn.Linear(hid_dim, 1, bias=False)
        self.fc = nn.Linear(hid_dim, n_classes)

    def forward(self, src):
        # src = [batch size, src len]
        embedded = self.embedding(src)
        outputs, hidden = self.gru(embedded)
        # outputs = [batch size, src len, hid dim]
        energy = self.v(torch.tanh(self.attn(outputs)))
        weights = F.softmax(energy, dim=0)  # expect: LH112
        context = (weights * outputs).sum(dim=1)
        return self.fc(context), weights.squeeze(2)


def train(model, iterator, optimizer, criterion, clip):
    model.train()
    total, n = 0.0, 0
    for src, label in iterator:
        optimizer.zero_grad()
        output, _ = model(src)
        loss = criterion(output, label)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        total += loss.item() * src.size(0)
        n += src.size(0)
    return total / n


if __name__ == "__main__":
    torch.manual_seed(1234)
    iterator = [(torch.randint(0, 500, (10, 14)), torch.randint(0, 6, (10,))) for _ in range(3)]
    model = AttentiveClassifier()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(2):
        print(epoch, train(model, iterator, optimizer, nn.CrossEntropyLoss(), clip=1))
