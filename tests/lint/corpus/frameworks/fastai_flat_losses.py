# case: fastai's flattened losses: [B, T, V] as it is, integer multi-label targets, vision_learner: all right
# ruff: noqa: F403, F405
import torch.nn as nn
from fastai.text.all import *
from fastai.vision.all import vision_learner
from torchvision.models import resnet34


class CharRNN(nn.Module):
    def __init__(self, vocab_sz, emb=64, hidden=256):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, emb)
        self.rnn = nn.LSTM(emb, hidden, num_layers=2, batch_first=True)
        self.h_o = nn.Linear(hidden, vocab_sz)
        self.h = None

    def forward(self, x):
        res, h = self.rnn(self.emb(x), self.h)
        self.h = tuple(s.detach() for s in h)
        return self.h_o(res)

    def reset(self):
        self.h = None


class TagHead(nn.Module):
    def __init__(self, body, nf, n_tags):
        super().__init__()
        self.body, self.tags = body, nn.Linear(nf, n_tags)

    def forward(self, x):
        return self.tags(self.body(x).mean(dim=(2, 3)))


def char_learner(dls, vocab):
    # the class axis of CrossEntropyLossFlat is the last one: it flattens the rest
    model = CharRNN(len(vocab))
    return Learner(
        dls, model, loss_func=CrossEntropyLossFlat(), metrics=[accuracy, Perplexity()], cbs=ModelResetter
    )


def tag_learner(dls, body, nf, n_tags):
    # BCEWithLogitsLossFlat turns integer targets into floats itself
    loss = BCEWithLogitsLossFlat(thresh=0.4)
    return Learner(
        dls, TagHead(body, nf, n_tags), loss_func=loss, metrics=partial(accuracy_multi, thresh=0.4)
    )


def photo_learner(dls):
    return vision_learner(dls, resnet34, loss_func=LabelSmoothingCrossEntropyFlat(), metrics=error_rate)


def predict(learn, items):
    dl = learn.dls.test_dl(items)
    probs, _ = learn.get_preds(dl=dl)
    return probs.argmax(dim=-1)
