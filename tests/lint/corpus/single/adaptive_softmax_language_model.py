# case: language model on nn.AdaptiveLogSoftmaxWithLoss; the loss takes hidden states, perplexity per token
import math
import time

import torch
import torch.nn as nn

V, BPTT, BATCH = 2000, 16, 8


class RNNModel(nn.Module):
    def __init__(self, rnn_type="LSTM", ninp=32, nhid=32, nlayers=1):
        super(RNNModel, self).__init__()
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(V, ninp)
        self.rnn = getattr(nn, rnn_type)(ninp, nhid, nlayers)
        self.decoder = nn.AdaptiveLogSoftmaxWithLoss(nhid, V, cutoffs=[100, 1000], div_value=2.0)

    def forward(self, input, hidden=None):
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        return self.drop(output), hidden

    def loss(self, output, target):
        return self.decoder(output.view(-1, output.size(2)), target.view(-1))

    def next_word_probs(self, output):
        return self.decoder.log_prob(output[-1]).exp()


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def get_batch(source, i):
    seq_len = min(BPTT, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len]


def train(model, source, opt):
    model.train()
    hidden = None
    for i in range(0, source.size(0) - 1, BPTT):
        data, targets = get_batch(source, i)
        output, hidden = model(data, hidden)
        hidden = repackage_hidden(hidden)
        loss = model.loss(output, targets).loss
        opt.zero_grad()
        loss.backward()
        opt.step()


@torch.no_grad()
def evaluate(model, source):
    model.eval()
    total_loss, tokens, hidden = 0.0, 0, None
    for i in range(0, source.size(0) - 1, BPTT):
        data, targets = get_batch(source, i)
        output, hidden = model(data, hidden)
        total_loss += model.loss(output, targets).loss.item() * targets.numel()
        tokens += targets.numel()
    return total_loss / tokens, model.next_word_probs(output)


stream = torch.randint(0, V, (75, BATCH))
model = RNNModel()
opt = torch.optim.SGD(model.parameters(), lr=1.0)
start = time.time()
for epoch in range(2):
    train(model, stream, opt)
    val_loss, probs = evaluate(model, stream)
    print(
        "| %d | %4.1fs | loss %5.2f | ppl %8.2f |"
        % (epoch, time.time() - start, val_loss, math.exp(val_loss))
    )
print(torch.multinomial(probs, 1).squeeze(1).tolist())
