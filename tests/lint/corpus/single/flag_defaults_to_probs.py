# case: surname classifier; apply_softmax defaults to True and the training loop forgets to switch it off
import argparse
import collections

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

Sample = collections.namedtuple("Sample", "surname nationality")
SAMPLES = [
    Sample("Ivanov", 0),
    Sample("Tanaka", 1),
    Sample("O'Neill", 2),
    Sample("Petrov", 0),
    Sample("Sato", 1),
]
CHARS = sorted(set("".join(s.surname for s in SAMPLES)))


def vectorize(surname):
    v = torch.zeros(len(CHARS))
    for ch in surname:
        v[CHARS.index(ch)] = 1
    return v


class SurnameClassifier(nn.Module):
    def __init__(self, input_dim, hidden_dim, output_dim):
        super(SurnameClassifier, self).__init__()
        self.fc1 = nn.Linear(input_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, output_dim)

    def forward(self, x_in, apply_softmax=True):
        """With apply_softmax the prediction is a probability vector."""
        intermediate = F.relu(self.fc1(x_in))
        prediction = self.fc2(F.dropout(intermediate, p=0.5, training=self.training))
        if apply_softmax:
            prediction = F.softmax(prediction, dim=1)
        return prediction


args = argparse.Namespace(hidden_dim=30, learning_rate=0.001, num_epochs=20)
classifier = SurnameClassifier(len(CHARS), args.hidden_dim, 3)
loss_func = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 2.0]))
optimizer = optim.Adam(classifier.parameters(), lr=args.learning_rate)

batch_dict = {
    "x_surname": torch.stack([vectorize(s.surname) for s in SAMPLES]),
    "y_nationality": torch.tensor([s.nationality for s in SAMPLES]),
}
for epoch_index in range(args.num_epochs):
    classifier.train()
    optimizer.zero_grad()
    y_pred = classifier(batch_dict["x_surname"])
    loss = loss_func(y_pred, batch_dict["y_nationality"])  # expect: LH101
    loss.backward()
    optimizer.step()

    classifier.eval()
    scores = classifier(x_in=batch_dict["x_surname"], apply_softmax=False)
    val_loss = loss_func(scores, batch_dict["y_nationality"])
print(loss.item(), val_loss.item())


def predict_nationality(name, classifier):
    result = classifier(vectorize(name).unsqueeze(0), apply_softmax=True)
    probability_values, indices = result.max(dim=1)
    return {"nationality": indices.item(), "probability": probability_values.item()}


print(predict_nationality("Sato", classifier))
