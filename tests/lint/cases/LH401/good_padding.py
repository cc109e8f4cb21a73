"""Padding that is ignored, masked, overwritten, weighted with zero, or not there."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

PAD, VOCAB = 1, 200


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 32, batch_first=True)
        self.fc = nn.Linear(32, VOCAB)

    def forward(self, ids):
        return self.fc(self.gru(self.embed(ids))[0])


def collate(batch):
    words, tags = zip(*batch, strict=True)
    return pad_sequence(words, True, PAD), pad_sequence(tags, batch_first=True, padding_value=-100)


def ignored(pairs):
    model, criterion = Model(), nn.CrossEntropyLoss()
    for words, tags in DataLoader(pairs, batch_size=8, collate_fn=collate):
        criterion(model(words).flatten(0, 1), tags.flatten()).backward()


def by_index(sentences):
    ids = pad_sequence(sentences, batch_first=True, padding_value=PAD)
    return F.cross_entropy(Model()(ids).transpose(1, 2), ids, ignore_index=PAD)


def index_of_settings(sentences, settings):
    ids = pad_sequence(sentences, batch_first=True, padding_value=PAD)
    return F.cross_entropy(Model()(ids).transpose(1, 2), ids, ignore_index=settings.ignore)


def overwritten(sentences, lengths):
    ids = pad_sequence(sentences, batch_first=True)
    labels = ids.clone()
    for i, n in enumerate(lengths):
        labels[i, n:] = -100
    return F.cross_entropy(Model()(ids).transpose(1, 2), labels)


def filled(sentences):
    ids = pad_sequence(sentences, batch_first=True)
    labels = ids.clone()
    labels.masked_fill_(ids == 0, -100)
    return F.cross_entropy(Model()(ids).transpose(1, 2), labels)


def chosen(sentences):
    ids = pad_sequence(sentences, batch_first=True)
    labels = torch.where(ids == 0, torch.full_like(ids, -100), ids)
    return F.cross_entropy(Model()(ids).transpose(1, 2), labels)


def weighted(sentences):
    weight = torch.ones(VOCAB)
    weight[PAD] = 0
    ids = pad_sequence(sentences, batch_first=True, padding_value=PAD)
    return nn.CrossEntropyLoss(weight=weight)(Model()(ids).transpose(1, 2), ids)


def masked(sentences):
    ids = pad_sequence(sentences, batch_first=True)
    each = nn.CrossEntropyLoss(reduction="none")(Model()(ids).transpose(1, 2), ids)
    return each[ids != 0].mean()


def cut_to_length(sentences, lengths):
    ids, logits = pad_sequence(sentences, batch_first=True), None
    logits = Model()(ids)
    return sum(F.cross_entropy(logits[i, :n], ids[i, :n]) for i, n in enumerate(lengths))


def selected(sentences):
    ids = pad_sequence(sentences, batch_first=True)
    keep = ids != 0
    return F.cross_entropy(Model()(ids)[keep], ids.masked_select(keep))


def one_text(model, tokenizer, prompt):
    batch = tokenizer(prompt, return_tensors="pt", padding=True)
    return F.cross_entropy(model(**batch).logits[0, :-1], batch["input_ids"][0, 1:])


def attention_mask_used(model, tokenizer, texts):
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return F.cross_entropy(model(**batch).logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def not_padded(model, tokenizer, texts):
    batch = tokenizer(texts, return_tensors="pt")
    return F.cross_entropy(model(**batch).logits.flatten(0, 1), batch["input_ids"].flatten())


def filled_up_by_hand(sentences, longest):
    rows = [F.pad(s, (0, longest - len(s)), value=-100) for s in sentences]
    inputs = torch.stack([F.pad(s, (0, longest - len(s)), value=PAD) for s in sentences])
    return F.cross_entropy(Model()(inputs).flatten(0, 1), torch.stack(rows).flatten())


def shifted(model, labels):
    labels = F.pad(labels, (0, 1), value=0)
    loss = F.cross_entropy(model(labels).flatten(0, 1), labels[:, 1:].flatten())
    return loss


class Answers(Dataset):
    """As many labels for each example as there are questions."""

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, i):
        words, answers = self.rows[i]
        return {"ids": torch.tensor(words), "answers": torch.LongTensor(answers), "id": i}


def collate_fields(examples):
    batch = {}
    for key in examples[0]:
        values = [one[key] for one in examples]
        if isinstance(values[0], torch.Tensor):
            values = pad_sequence(values, batch_first=True)
        batch[key] = values
    return batch


def every_field(rows, heads):
    for batch in DataLoader(Answers(rows), batch_size=8, collate_fn=collate_fields):
        states = Model()(batch["ids"])[:, -1]
        columns = batch["answers"].T
        sum(F.cross_entropy(head(states), y) for head, y in zip(heads, columns, strict=True)).backward()
