# Swin-B as detectors read it: four maps of images of any size.
swin = dict(
    type='mim_plugins.ResizableSwin', arch='base', window_size=7, img_size=1024, out_indices=(0, 1, 2, 3),
    pad_small_map=True, drop_path_rate=0.2)
swin_widths = [128, 256, 512, 1024]
