"""Tagging with packed sequences: no padded position reaches the loss, and tag 0 is one like any other."""

import argparse

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

TAGS = ["O", "B", "I"]


class LSTMTagger(nn.Module):
    def __init__(self, vocab_size, embedding_dim=16, hidden_dim=24):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, bidirectional=True, batch_first=True)
        self.hidden2tag = nn.Linear(2 * hidden_dim, len(TAGS))

    def forward(self, packed_words):
        embedded = packed_words._replace(data=self.word_embeddings(packed_words.data))
        lstm_out, _ = self.lstm(embedded)
        return lstm_out._replace(data=self.hidden2tag(lstm_out.data))


def sentence(vocab_size):
    """Names begin at words of the first fifth of the vocabulary, and go on while words stay in the second."""
    words = torch.randint(vocab_size, (int(torch.randint(3, 12, ())),))
    tags, inside = [], False
    for word in words.tolist():
        begins = word < vocab_size // 5
        inside = begins or (inside and word < 2 * vocab_size // 5)
        tags.append(TAGS.index("B" if begins else "I" if inside else "O"))
    return words, torch.tensor(tags)


def batch(size, vocab_size):
    words, tags = zip(*[sentence(vocab_size) for _ in range(size)])
    lengths = torch.tensor([len(w) for w in words])

    def pack(sequences):
        padded = pad_sequence(sequences, batch_first=True)
        return pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)

    return pack(words), pack(tags)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    vocab_size = 40
    model = LSTMTagger(vocab_size)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)

    for epoch in range(3):
        total_loss, total_words = 0.0, 0
        for _ in range(15):
            words, tags = batch(16, vocab_size)
            model.zero_grad()
            tag_scores = model(words)
            loss = loss_function(tag_scores.data, tags.data)
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(tags.data)
            total_words += len(tags.data)
        print(f"epoch {epoch}: {total_loss / total_words:.4f} per word")

    model.eval()
    with torch.no_grad():
        words, tags = batch(64, vocab_size)
        scores, lengths = pad_packed_sequence(model(words), batch_first=True)
        gold, _ = pad_packed_sequence(tags, batch_first=True, padding_value=-1)
        predicted = scores.max(dim=-1).indices
        accuracy = (predicted == gold).sum() / lengths.sum()
    print(f"accuracy {accuracy:.3f} on {len(lengths)} sentences")
    print(" ".join(TAGS[t] for t in predicted[0, : lengths[0]].tolist()))


if __name__ == "__main__":
    main()
