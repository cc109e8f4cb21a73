# case: churn prediction from a table, layers added by name, nn.BCELoss on a Linear output
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
BATCH_SIZE = 64
LEARNING_RATE = 0.001


class BinaryClassification(nn.Module):
    def __init__(self, num_features=12):
        super(BinaryClassification, self).__init__()
        self.layer_1 = nn.Linear(num_features, 64)
        self.layer_2 = nn.Linear(64, 64)
        self.layer_out = nn.Linear(64, 1)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(p=0.1)
        self.batchnorm1 = nn.BatchNorm1d(64)
        self.batchnorm2 = nn.BatchNorm1d(64)

    def forward(self, inputs):
        x = self.relu(self.layer_1(inputs))
        x = self.batchnorm1(x)
        x = self.relu(self.layer_2(x))
        x = self.batchnorm2(x)
        x = self.dropout(x)
        x = self.layer_out(x)
        return x


def binary_acc(y_pred, y_test):
    y_pred_tag = torch.round(torch.sigmoid(y_pred))
    correct_results_sum = (y_pred_tag == y_test).sum().float()
    return torch.round(correct_results_sum / y_test.shape[0] * 100)


features = torch.randn(500, 12)
churned = (features[:, 0] + 0.3 * torch.randn(500) > 0).float()
train_loader = DataLoader(TensorDataset(features, churned), batch_size=BATCH_SIZE, shuffle=True)

model = BinaryClassification()
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

model.train()
for e in range(1, EPOCHS + 1):
    for X_batch, y_batch in train_loader:
        optimizer.zero_grad()
        y_pred = model(X_batch)
        loss = criterion(y_pred, y_batch.unsqueeze(1))  # expect: LH108
        acc = binary_acc(y_pred, y_batch.unsqueeze(1))
        loss.backward()
        optimizer.step()
    print(f"Epoch {e:03}: Loss {loss.item():.5f} | Acc {acc.item():.3f}")
