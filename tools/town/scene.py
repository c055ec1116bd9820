# SPDX-License-Identifier: MIT
"""Builds the whole world of a seed, season and run, and renders it from given poses."""

from __future__ import annotations

from pathlib import Path

import bpy
from mathutils import Matrix
import numpy as np

from town import houses, landmarks, layout, public, sky, traffic
from town.routes import HORIZONTAL_FOV_DEG, T_base_camera, T_map_base
from town.seasons import Season


def build(seed: int, season: Season, run: str) -> layout.Layout:
    """Empty Blender and build the town; traffic is seeded by the run."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    plan = layout.make(seed)
    palette = houses.Palette(season)
    public.add_ground(plan, palette)
    houses.add(plan, palette)
    landmarks.add(plan, palette)
    public.add_dressing(plan, season)
    traffic.add(plan, season, run)
    sky.add(season)
    for material in bpy.data.materials:  # lit windows glow, but sampling them as lamps is slow
        material.cycles.emission_sampling = 'NONE'
    return plan


def configure(season: Season, size: tuple[int, int], samples: int, threads: int) -> None:
    """Cycles on the CPU, denoised, everything kept between frames."""
    scene = bpy.context.scene
    scene.render.engine = 'CYCLES'
    scene.cycles.device = 'CPU'
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = 'OPENIMAGEDENOISE'
    scene.cycles.denoising_prefilter = 'FAST'
    scene.cycles.max_bounces = 2
    scene.cycles.diffuse_bounces = 2
    scene.cycles.glossy_bounces = 1
    scene.cycles.use_light_tree = False
    scene.cycles.caustics_reflective = False
    scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 3.0
    scene.render.use_persistent_data = True
    scene.render.threads_mode, scene.render.threads = 'FIXED', threads
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = 'PNG'
    scene.render.image_settings.color_mode = 'RGB'
    scene.view_settings.view_transform = 'Filmic'
    scene.view_settings.look = 'Medium Contrast'
    scene.view_settings.exposure = season.exposure


def camera() -> bpy.types.Object:
    """Pinhole camera with square pixels."""
    data = bpy.data.cameras.new('camera')
    data.sensor_fit = 'HORIZONTAL'
    data.angle = np.deg2rad(HORIZONTAL_FOV_DEG)
    data.clip_start, data.clip_end = 0.1, 1500.0
    thing = bpy.data.objects.new('camera', data)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.camera = thing
    return thing


def shoot(eye: bpy.types.Object, pose: np.ndarray, target: Path, seed: int) -> None:
    """Render the view of a vehicle pose (x, y, yaw) to a PNG, written in one piece."""
    T_optical_blender = np.diag([1.0, -1.0, -1.0, 1.0])
    eye.matrix_world = Matrix((T_map_base(pose) @ T_base_camera() @ T_optical_blender).tolist())
    scene = bpy.context.scene
    scene.cycles.seed = seed
    part = target.with_suffix('.part.png')
    scene.render.filepath = str(part)
    bpy.ops.render.render(write_still=True)
    part.replace(target)
