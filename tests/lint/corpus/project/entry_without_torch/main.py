import sys

from iris import Flowers
from model import Net
from trainer import accuracy, fit

if __name__ == "__main__":
    flowers = Flowers(sys.argv[1])
    net = Net(4, 32, 3)
    losses = fit(net, flowers, epochs=100)
    print("last loss:", losses[-1])
    print("accuracy:", accuracy(net, flowers))
