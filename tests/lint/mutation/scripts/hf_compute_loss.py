"""A Trainer of transformers whose compute_loss weighs the classes."""

import tempfile

import torch
from torch import nn
from transformers import Trainer, TrainingArguments

NUM_LABELS = 3


class IntentClassifier(nn.Module):
    def __init__(self, vocab_size=70, hidden_size=16, num_labels=NUM_LABELS):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, hidden_size)
        layer = nn.TransformerEncoderLayer(hidden_size, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.classifier = nn.Linear(hidden_size, num_labels)

    def forward(self, input_ids):
        hidden = self.encoder(self.embeddings(input_ids))
        return {"logits": self.classifier(hidden[:, 0])}


class Intents(torch.utils.data.Dataset):
    def __init__(self, n):
        generator = torch.Generator().manual_seed(n)
        self.input_ids = torch.randint(70, (n, 9), generator=generator)
        self.labels = torch.randint(NUM_LABELS, (n,), generator=generator)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"input_ids": self.input_ids[i], "labels": self.labels[i]}


class WeightedTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        logits = outputs["logits"]
        loss_fct = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.5], device=logits.device))
        loss = loss_fct(logits.view(-1, NUM_LABELS), labels.view(-1))
        return (loss, outputs) if return_outputs else loss


def main():
    torch.manual_seed(0)
    model = IntentClassifier()
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=8,
            num_train_epochs=2,
            learning_rate=1e-2,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            remove_unused_columns=False,
            use_cpu=True,
        )
        trainer = WeightedTrainer(model=model, args=args, train_dataset=Intents(24))
        trainer.train()
    held_out = Intents(15)
    model.eval()
    with torch.no_grad():
        logits = model(held_out.input_ids)["logits"]
    predictions = logits.argmax(dim=-1)
    accuracy = (predictions == held_out.labels).float().mean()
    print(f"accuracy {accuracy.item():.4f} first logit {logits[0, 0].item():.6f}")


if __name__ == "__main__":
    main()
