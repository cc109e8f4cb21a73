# case: padding kept out of the loss: ignore_index, -100 by padding or by mask, a mask on the unreduced loss
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

PAD = 0


class Model(nn.Module):
    def __init__(self, vocab=40, dim=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, vocab)
        self.criterion = nn.CrossEntropyLoss(ignore_index=PAD)

    def forward(self, ids):
        return self.out(self.rnn(self.emb(ids))[0])

    def loss(self, seqs):
        ids = pad_sequence(seqs, batch_first=True, padding_value=PAD)
        logits = self(ids[:, :-1])
        return self.criterion(logits.flatten(0, 1), ids[:, 1:].flatten())


def padded_with_minus_100(model, seqs):
    x = pad_sequence([s[:-1] for s in seqs], batch_first=True, padding_value=PAD)
    y = pad_sequence([s[1:] for s in seqs], batch_first=True, padding_value=-100)
    return F.cross_entropy(model(x).transpose(1, 2), y)


def filled_afterwards(model, seqs):
    ids = pad_sequence(seqs, batch_first=True)
    labels = ids[:, 1:].masked_fill(ids[:, 1:] == PAD, -100)
    return F.cross_entropy(model(ids[:, :-1]).permute(0, 2, 1), labels)


def masked_mean(model, seqs):
    ids = pad_sequence(seqs, batch_first=True)
    target = ids[:, 1:]
    mask = (target != PAD).float()
    per_token = F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), target, reduction="none")
    return (per_token * mask).sum() / mask.sum()


def selected(model, seqs):
    ids = pad_sequence(seqs, batch_first=True)
    target = ids[:, 1:]
    keep = target.ne(PAD)
    return F.cross_entropy(model(ids[:, :-1])[keep], target[keep])


def packed(model, seqs):
    ids = pad_sequence(seqs, batch_first=True)
    lengths = torch.tensor([len(s) - 1 for s in seqs])
    logits = pack_padded_sequence(model(ids[:, :-1]), lengths, batch_first=True, enforce_sorted=False).data
    target = pack_padded_sequence(ids[:, 1:], lengths, batch_first=True, enforce_sorted=False).data
    return F.cross_entropy(logits, target)


def causal_lm_step(model, tokenizer, texts):
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].clone()
    labels[batch["attention_mask"] == 0] = -100
    return model(**batch, labels=labels).loss


def padded_inputs_only(texts, classes):
    """The inputs are padded, the targets are one class each."""
    encoder, head = nn.EmbeddingBag(40, 16, padding_idx=PAD), nn.Linear(16, 3)
    return F.cross_entropy(head(encoder(pad_sequence(texts, batch_first=True))), classes)


if __name__ == "__main__":
    ragged = [torch.randint(1, 40, (n,)) for n in (9, 5, 3, 7)]
    net = Model()
    print(net.loss(ragged).item())
    for fn in (padded_with_minus_100, filled_afterwards, masked_mean, selected, packed):
        print(fn.__name__, fn(net, ragged).item())
    print(padded_inputs_only(ragged, torch.tensor([0, 2, 1, 1])).item())
