# case: padded targets without ignore_index: pad_sequence in a collate, tokenizer pad ids as labels
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD, BOS, EOS = 0, 1, 2


class Decoder(nn.Module):
    def __init__(self, vocab, dim=48):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, vocab)

    def forward(self, ids):
        states, _ = self.rnn(self.emb(ids))
        return self.out(states)


def collate(sentences):
    sentences = [torch.tensor([BOS, *s, EOS]) for s in sentences]
    source = pad_sequence([s[:-1] for s in sentences], batch_first=True, padding_value=PAD)
    target = pad_sequence([s[1:] for s in sentences], batch_first=True, padding_value=PAD)
    return source, target


def train(sentences, vocab, epochs=1):
    loader = DataLoader(sentences, batch_size=16, shuffle=True, collate_fn=collate)
    model = Decoder(vocab)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(epochs):
        for source, target in loader:
            logits = model(source)
            loss = criterion(logits.view(-1, vocab), target.view(-1))  # expect: LH401
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def tagging_loss(model, words, tags):
    """Words and tags of sentences of different lengths."""
    tokens = pad_sequence(words, batch_first=True)
    labels = pad_sequence(tags, batch_first=True)
    scores = model(tokens)
    return F.cross_entropy(scores.transpose(1, 2), labels)  # expect: LH401


def finetune_step(model, tokenizer, texts, optimizer):
    tokenizer.pad_token = tokenizer.eos_token
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=512)
    labels = batch["input_ids"].clone()
    logits = model(**batch).logits[:, :-1]
    loss = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())  # expect: LH401
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


if __name__ == "__main__":
    corpus = [torch.randint(3, 30, (n,)).tolist() for n in torch.randint(2, 12, (64,)).tolist()]
    net = train(corpus, 30)
    ragged = [torch.randint(3, 30, (n,)) for n in (4, 7, 2)]
    print(tagging_loss(net, ragged, ragged).item())
