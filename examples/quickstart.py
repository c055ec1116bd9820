# SPDX-License-Identifier: MIT
"""Build a map from the images of one day and find an image of another day in it."""

import sys

import selavpr_model as selavpr

summer, winter = (selavpr.ImageFolder(folder) for folder in sys.argv[1:3])
extractor = selavpr.load_extractor()
place_map = selavpr.build_map(summer, extractor, out='build/maps/quickstart', overwrite=True)
recognizer = selavpr.PlaceRecognizer(extractor, place_map)

query = winter[len(winter) // 2]
answer = recognizer.process(selavpr.Frame(query.stamp_ns, query.image))
best = answer.candidates[0]
print(f'{query.name}: {answer.state.name}, {answer.reason}')
print(f'best place {best.place.name}, confidence {best.confidence:.3f}')
