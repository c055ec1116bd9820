# SPDX-License-Identifier: MIT
"""Build a map from the images of one day and find the images of another day in it."""

import sys

import numpy as np

import selavpr_model as selavpr

summer, winter = (selavpr.ImageFolder(folder) for folder in sys.argv[1:3])
extractor = selavpr.load_extractor()
place_map = selavpr.build_map(summer, extractor, out='build/maps/quickstart', overwrite=True)
recognizer = selavpr.PlaceRecognizer(extractor, place_map)

for frame in winter:
    answer = recognizer.process(selavpr.Frame(frame.stamp_ns, frame.image))
    if answer.state is selavpr.State.LOCALIZED:
        off_m = np.linalg.norm(answer.pose[:3, 3] - frame.pose[:3, 3])
        print(f'{frame.name}: {answer.reason}, {off_m:.1f} m off')
