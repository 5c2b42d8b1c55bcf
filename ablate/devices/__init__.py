"""Code that depends on the device: CPU, CUDA and ROCm (torch calls both `cuda`), Apple's MPS, Intel's XPU.

Other packages do not check the type of a device. The functions of this package ask torch what a device can
do, so a new type of device works without changes as soon as torch supports it.
"""
