# case: time-first GRU; the attention's softmax over dim 0 runs over time, and a 1-d vector has only dim 0
import torch
import torch.nn as nn
import torch.nn.functional as F


class Encoder(nn.Module):
    def __init__(self, n_tokens, hid=24):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, hid)
        self.gru = nn.GRU(hid, hid)

    def forward(self, src):
        # src = [src len, batch]; outputs = [src len, batch, hid]
        outputs, hidden = self.gru(self.embedding(src))
        return outputs, hidden


class AttentionDecoder(nn.Module):
    def __init__(self, n_tokens, hid=24):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, hid)
        self.energy = nn.Linear(2 * hid, 1)
        self.gru = nn.GRU(2 * hid, hid)
        self.out = nn.Linear(hid, n_tokens)

    def forward(self, token, hidden, enc):
        query = hidden.expand(enc.size(0), -1, -1)
        scores = self.energy(torch.cat((query, enc), dim=2))
        a = F.softmax(scores, dim=0)
        context = (a * enc).sum(dim=0, keepdim=True)
        rnn_in = torch.cat((self.embedding(token).unsqueeze(0), context), dim=2)
        output, hidden = self.gru(rnn_in, hidden)
        return self.out(output.squeeze(0)), hidden


class LayerMix(nn.Module):
    """A learned convex combination of layers, as ELMo has it: one scalar a layer."""

    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(n))

    def forward(self, tensors):
        w = torch.softmax(self.w, dim=0)
        return sum(w[i] * t for i, t in enumerate(tensors))


n_tokens, sos = 40, 1
enc, dec, mix = Encoder(n_tokens), AttentionDecoder(n_tokens), LayerMix(2)
params = [*enc.parameters(), *dec.parameters(), *mix.parameters()]
opt = torch.optim.Adam(params, lr=1e-3)
criterion = nn.CrossEntropyLoss()
for step in range(3):
    src, trg = torch.randint(2, n_tokens, (9, 5)), torch.randint(2, n_tokens, (7, 5))
    memory, hidden = enc(src)
    memory = mix([memory, enc.embedding(src)])
    token, loss = torch.full((5,), sos), 0.0
    for t in range(trg.size(0)):
        logits, hidden = dec(token, hidden, memory)
        loss = loss + criterion(logits, trg[t])
        token = trg[t] if torch.rand(1).item() < 0.5 else logits.argmax(1)
    loss = loss / trg.size(0)
    opt.zero_grad()
    loss.backward()
    opt.step()

one = logits[0]
print(loss.item(), F.softmax(one, dim=0).topk(3).indices.tolist(), torch.softmax(mix.w, -1).tolist())
