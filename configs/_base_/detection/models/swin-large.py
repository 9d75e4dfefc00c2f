# Swin-L as detectors read it, with windows of 14 as it is fine-tuned.
_base_ = 'swin-base.py'

swin = dict(arch='large', window_size=14, drop_path_rate=0.3, with_cp=True)
swin_widths = [192, 384, 768, 1536]
