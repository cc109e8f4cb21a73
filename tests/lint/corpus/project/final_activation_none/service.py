import torch
from kit import Tagger
from train_tags import TAGS


class Service:
    def __init__(self, path, threshold=0.5):
        self.model = Tagger(len(TAGS), final_activation="sigmoid")
        self.model.load_state_dict(torch.load(path))
        self.model.eval()
        self.threshold = threshold

    @torch.inference_mode()
    def tags(self, image):
        scores = self.model(image.unsqueeze(0))[0]
        return [tag for tag, score in zip(TAGS, scores.tolist(), strict=True) if score > self.threshold]
