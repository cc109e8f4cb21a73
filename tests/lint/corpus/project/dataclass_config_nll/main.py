import torch
from config import Config
from textcnn import TextCNN
from torch.utils.data import TensorDataset
from trainer import Trainer

if __name__ == "__main__":
    cfg = Config()
    tokens = torch.randint(cfg.vocab_size, (2000, 60))
    labels = torch.randint(cfg.num_classes, (2000,))
    Trainer(TextCNN(cfg), cfg).fit(TensorDataset(tokens, labels))
