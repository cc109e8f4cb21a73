from net import ConvClassifier
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from trainer import Trainer

transform = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
dataset = datasets.ImageFolder("data/cats_dogs", transform=transform)
loader = DataLoader(dataset, batch_size=32, shuffle=True)

net = ConvClassifier(num_outputs=1)
Trainer(net).train(loader, epochs=10)
