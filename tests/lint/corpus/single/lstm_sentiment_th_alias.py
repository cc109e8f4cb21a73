# case: LSTM sentiment classifier, "import torch as th", a softmax attribute applied to the last hidden state
import torch as th
from torch import nn as tnn
from torch.nn import functional as fn


class SentimentLSTM(tnn.Module):
    def __init__(self, vocab_size, embedding_dim=32, hidden_dim=64, n_layers=2, n_classes=3):
        super().__init__()
        self.embed = tnn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.rnn = tnn.LSTM(embedding_dim, hidden_dim, n_layers, batch_first=True, dropout=0.3)
        self.out = tnn.Linear(hidden_dim, n_classes)
        self.act = tnn.Softmax(-1)

    def forward(self, tokens):
        emb = self.embed(tokens)
        _, (h_n, _) = self.rnn(emb)
        scores = self.out(h_n[-1])
        return self.act(scores)


def accuracy(probs, gold):
    return (probs.argmax(-1) == gold).float().mean().item()


def run_epoch(net, batches, opt=None):
    n_seen, total = 0, 0.0
    for tokens, gold in batches:
        probs = net(tokens)
        batch_loss = fn.cross_entropy(probs, gold)  # expect: LH101
        if opt is not None:
            opt.zero_grad()
            batch_loss.backward()
            tnn.utils.clip_grad_norm_(net.parameters(), 5.0)
            opt.step()
        total += batch_loss.item() * len(gold)
        n_seen += len(gold)
    return total / n_seen, accuracy(probs, gold)


if __name__ == "__main__":
    th.manual_seed(0)
    data = [(th.randint(1, 500, (16, 20)), th.randint(0, 3, (16,))) for _ in range(4)]
    net = SentimentLSTM(vocab_size=500)
    opt = th.optim.Adam(net.parameters(), lr=2e-3)
    for ep in range(2):
        print(ep, run_epoch(net, data, opt))
