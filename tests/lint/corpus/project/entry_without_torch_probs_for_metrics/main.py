from model import Net
from toy import Blobs
from trainer import fit, report

if __name__ == "__main__":
    net = fit(Net(2, 32, 3), Blobs(600), epochs=20)
    print(report(net, Blobs(300)))
