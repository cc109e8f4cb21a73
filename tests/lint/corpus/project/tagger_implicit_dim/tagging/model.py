import torch
import torch.nn as nn


class Tagger(nn.Module):
    def __init__(self, vocab_size, tagset_size, embedding_dim=64, hidden_dim=64):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.hidden2tag = nn.Linear(2 * hidden_dim, tagset_size)
        self.log_softmax = nn.LogSoftmax()

    def forward(self, sentences: torch.Tensor):
        embeds = self.word_embeddings(sentences)
        lstm_out, _ = self.lstm(embeds)
        tag_space = self.hidden2tag(lstm_out)
        return self.log_softmax(tag_space)  # expect: LH112
