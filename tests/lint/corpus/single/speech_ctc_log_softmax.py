# case: speech; log_softmax over dim 2 of [time, batch, chars] into CTCLoss, greedy decode
import torch
import torch.nn as nn
import torch.nn.functional as F

CHARS = "_'abcdefghijklmnopqrstuvwxyz "


class BidirectionalGRU(nn.Module):
    def __init__(self, dim, hidden, dropout, batch_first):
        super(BidirectionalGRU, self).__init__()
        self.gru = nn.GRU(dim, hidden, batch_first=batch_first, bidirectional=True)
        self.layer_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = F.gelu(self.layer_norm(x))
        x, _ = self.gru(x)
        return self.dropout(x)


class SpeechRecognitionModel(nn.Module):
    def __init__(self, n_feats=32, dim=24, n_class=len(CHARS)):
        super(SpeechRecognitionModel, self).__init__()
        self.cnn = nn.Conv1d(n_feats, dim, 3, stride=2, padding=1)
        self.birnn = BidirectionalGRU(dim, dim, 0.1, batch_first=True)
        self.classifier = nn.Linear(2 * dim, n_class)

    def forward(self, x):
        x = self.cnn(x).transpose(1, 2)
        return self.classifier(self.birnn(x))


def GreedyDecoder(output, blank=0):
    best = torch.argmax(output, dim=2)
    texts = []
    for row in best:
        previous, text = blank, []
        for index in row.tolist():
            if index != blank and index != previous:
                text.append(CHARS[index])
            previous = index
        texts.append("".join(text))
    return texts


model = SpeechRecognitionModel()
criterion = nn.CTCLoss(blank=0, zero_infinity=True)
optimizer = torch.optim.AdamW(model.parameters(), 5e-4)
for batch in range(3):
    spectrograms = torch.randn(4, 32, 100)
    labels = torch.randint(1, len(CHARS), (4, 12))
    label_lengths = torch.tensor([12, 10, 8, 12])
    input_lengths = torch.full((4,), 50)
    optimizer.zero_grad()
    output = model(spectrograms)
    output = F.log_softmax(output, dim=2)
    output = output.transpose(0, 1)
    loss = criterion(output, labels, input_lengths, label_lengths)
    loss.backward()
    optimizer.step()
print(loss.item(), GreedyDecoder(output.transpose(0, 1))[0])
