# case: intents; LogSoftmax under CrossEntropyLoss, a sigmoid of the log-probabilities as confidence
import torch
from torch.nn import (
    CrossEntropyLoss,
    Dropout,
    Embedding,
    GRU,
    Linear,
    LogSoftmax,
    Module,
)

INTENTS = ("greet", "bye", "order", "cancel")


class IntentNet(Module):
    def __init__(self, n_words, dim=24):
        super().__init__()
        self.words = Embedding(n_words, dim)
        self.gru = GRU(dim, dim, batch_first=True, bidirectional=True)
        self.drop = Dropout(0.1)
        self.proj = Linear(2 * dim, len(INTENTS))
        self.log_softmax = LogSoftmax(dim=1)

    def forward(self, ids):
        states, _ = self.gru(self.words(ids))
        pooled = states.max(dim=1).values
        return self.log_softmax(self.proj(self.drop(pooled)))


net = IntentNet(200)
objective = CrossEntropyLoss()
adam = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(15):
    sentences, intents = torch.randint(0, 200, (12, 9)), torch.randint(0, len(INTENTS), (12,))
    adam.zero_grad()
    value = objective(net(sentences), intents)  # expect: LH103
    value.backward()
    adam.step()


def classify(sentence, threshold=0.4):
    net.eval()
    with torch.no_grad():
        out = net(sentence.unsqueeze(0))
    confidence = torch.sigmoid(out)  # expect: LH114
    best = confidence.argmax(dim=1).item()
    if confidence[0, best] < threshold:
        return "fallback"
    return INTENTS[best]


print(classify(torch.randint(0, 200, (9,))))
