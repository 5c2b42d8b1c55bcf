"""Code that depends on the device: CPU, CUDA and ROCm (torch calls both `cuda`), Apple's MPS, Intel's XPU.

Other packages do not check the type of a device. The functions in this package ask torch what a device can
do. So a new type of device works without changes once torch supports it.
"""
