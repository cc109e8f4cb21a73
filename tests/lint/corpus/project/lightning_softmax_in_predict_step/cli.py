import lightning as L
import torch
from lit import LitClassifier
from torch.utils.data import DataLoader, TensorDataset


def main():
    L.seed_everything(7)
    data = TensorDataset(torch.rand(1024, 1, 28, 28), torch.randint(10, (1024,)))
    trainer = L.Trainer(max_epochs=2)
    model = LitClassifier()
    trainer.fit(model, DataLoader(data, 128, shuffle=True), DataLoader(data, 512))
    print(torch.cat(trainer.predict(model, DataLoader(data, 512))).amax(1).mean())


if __name__ == "__main__":
    main()
