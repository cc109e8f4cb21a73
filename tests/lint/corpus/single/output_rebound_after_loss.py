# case: the name "outputs" holds logits at the loss and is bound to probabilities afterwards, in both loops
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


class TextCNN(nn.Module):
    def __init__(self, vocab=300, dim=16, kernels=(2, 3, 4), n_filters=8, n_out=2):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        self.convs = nn.ModuleList([nn.Conv2d(1, n_filters, (k, dim)) for k in kernels])
        self.fc = nn.Linear(len(kernels) * n_filters, n_out)
        self.dropout = nn.Dropout(0.5)

    def forward(self, text):
        embedded = self.embedding(text).unsqueeze(1)
        conved = [torch.relu(conv(embedded)).squeeze(3) for conv in self.convs]
        pooled = [c.max(dim=2)[0] for c in conved]
        return self.fc(self.dropout(torch.cat(pooled, dim=1)))


dataset = TensorDataset(torch.randint(0, 300, (80, 12)), torch.randint(0, 2, (80,)))
train_iter = DataLoader(dataset, batch_size=16, shuffle=True)
model = TextCNN()
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters())

for epoch in range(2):
    model.train()
    for text, label in train_iter:
        optimizer.zero_grad()
        outputs = model(text)
        loss = criterion(outputs, label)
        loss.backward()
        optimizer.step()
        outputs = outputs.softmax(dim=1)
        confident = (outputs.max(dim=1).values > 0.9).sum().item()
    print(epoch, loss.item(), confident)

    model.eval()
    all_scores, val_loss = [], 0.0
    with torch.no_grad():
        for text, label in train_iter:
            outputs = model(text)
            val_loss += criterion(outputs, label).item() * label.size(0)
            outputs = torch.softmax(outputs, dim=1)[:, 1]
            all_scores.extend(outputs.tolist())
    print(val_loss / len(dataset), sum(s > 0.5 for s in all_scores))
