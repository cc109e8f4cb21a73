# case: slot filling over [batch, time, slots]; F.log_softmax without dim picks dimension 0, the batch
import torch
import torch.nn as nn
import torch.nn.functional as F

B, T, V, S = 6, 11, 120, 9
PAD = -100


class SlotFiller(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(V, 32)
        layer = nn.TransformerEncoderLayer(d_model=32, nhead=4, dim_feedforward=64, batch_first=True)
        self.enc = nn.TransformerEncoder(layer, num_layers=1)
        self.slots = nn.Linear(32, S)

    def forward(self, tokens):
        # [B, T] -> [B, T, S]
        return F.log_softmax(self.slots(self.enc(self.emb(tokens))))  # expect: LH112


def sample_batch():
    tokens = torch.randint(0, V, (B, T))
    slots = torch.randint(0, S, (B, T))
    slots[:, -2:] = PAD
    return tokens, slots


model = SlotFiller()
opt = torch.optim.AdamW(model.parameters(), lr=5e-4)
for i in range(8):
    tokens, slots = sample_batch()
    logp = model(tokens)
    loss = F.nll_loss(logp.reshape(-1, S), slots.reshape(-1), ignore_index=PAD)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item())
