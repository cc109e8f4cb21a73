# case: ignore_index as it should be: the void label 255, -1, -100, a padding id that means nothing else
import torch
import torch.nn.functional as F
from torch import nn

VOC_CLASSES = 21
VOID = 255
SPECIAL = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}


def build_vocab(words):
    return {**SPECIAL, **{w: i + len(SPECIAL) for i, w in enumerate(sorted(set(words)))}}


def segment(images, masks):
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, VOC_CLASSES, 1))
    masks[:, :2] = VOID  # the border
    return nn.CrossEntropyLoss(ignore_index=VOID)(net(images), masks)


def unlabelled(x, y):
    """Half of the rows have no label yet."""
    y = torch.where(torch.rand(len(y)) < 0.5, y, -1)
    return F.cross_entropy(nn.Linear(5, 4)(x), y, ignore_index=-1)


def masked_lm(ids, vocab, rate=0.15):
    chosen = torch.rand(ids.shape) < rate
    chosen[:, 0] = True
    labels = ids.masked_fill(~chosen, -100)
    emb, out = nn.Embedding(len(vocab), 16), nn.Linear(16, len(vocab))
    logits = out(emb(ids.masked_fill(chosen, vocab["<unk>"])))
    return F.cross_entropy(logits.view(-1, len(vocab)), labels.view(-1))


class Captioner(nn.Module):
    def __init__(self, vocab, dim=24):
        super().__init__()
        self.emb = nn.Embedding(len(vocab), dim, padding_idx=vocab["<pad>"])
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, len(vocab))
        self.loss_fn = nn.CrossEntropyLoss(ignore_index=vocab["<pad>"])

    def forward(self, caption):
        logits = self.out(self.gru(self.emb(caption[:, :-1]))[0])
        return self.loss_fn(logits.flatten(0, 1), caption[:, 1:].flatten())


def extra_class(x, y):
    # 10 classes and an eleventh number, one past the last, for what is to be left out
    y = torch.where(x[:, 0] > 1.5, 10, y)
    return F.nll_loss(F.log_softmax(nn.Linear(5, 10)(x), dim=1), y, ignore_index=10)


if __name__ == "__main__":
    words = build_vocab(["the", "cat", "sat", "on", "the", "mat", "and", "saw", "a", "dog"])
    print(segment(torch.randn(2, 3, 8, 8), torch.randint(VOC_CLASSES, (2, 8, 8))).item())
    features = torch.randn(16, 5)
    print(
        unlabelled(features, torch.randint(4, (16,))).item(),
        extra_class(features, torch.randint(10, (16,))).item(),
    )
    sentences = torch.randint(4, len(words), (3, 9))
    print(masked_lm(sentences, words).item(), Captioner(words)(sentences).item())
