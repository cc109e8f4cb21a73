# case: image classifier course project; cross-entropy on logits, validated and served with torch.exp
import torch
from torch import nn, optim


class Network(nn.Module):
    def __init__(self, input_size, output_size, hidden_layers, drop_p=0.5):
        super().__init__()
        self.hidden_layers = nn.ModuleList([nn.Linear(input_size, hidden_layers[0])])
        layer_sizes = zip(hidden_layers[:-1], hidden_layers[1:])
        self.hidden_layers.extend([nn.Linear(h1, h2) for h1, h2 in layer_sizes])
        self.output = nn.Linear(hidden_layers[-1], output_size)
        self.dropout = nn.Dropout(p=drop_p)

    def forward(self, x):
        for each in self.hidden_layers:
            x = nn.functional.relu(each(x))
            x = self.dropout(x)
        return self.output(x)


def validation(model, testloader, criterion):
    accuracy = 0
    test_loss = 0
    for images, labels in testloader:
        images = images.view(images.shape[0], -1)
        output = model(images)
        test_loss += criterion(output, labels).item() * len(labels)
        ps = torch.exp(output)  # expect: LH114
        equality = labels == ps.max(dim=1)[1]
        accuracy += equality.float().sum().item()
    return test_loss, accuracy


def predict(image, model, topk=3):
    model.eval()
    with torch.no_grad():
        logps = model(image.view(1, -1))
        ps = logps.exp()  # expect: LH114
        top_p, top_class = ps.topk(topk, dim=1)
    return top_p[0].tolist(), top_class[0].tolist()


if __name__ == "__main__":
    loader = [(torch.rand(16, 1, 8, 8), torch.randint(0, 5, (16,))) for _ in range(4)]
    model = Network(64, 5, [32, 16])
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.001)
    for e in range(2):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images.view(images.size(0), -1)), labels)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            test_loss, accuracy = validation(model, loader, criterion)
        print("Epoch: {}/{}.. Test: {:.3f} / {:.3f}".format(e + 1, 2, test_loss / 64, accuracy / 64))
    print(predict(torch.rand(1, 8, 8), model))
