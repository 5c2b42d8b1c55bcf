"""What differs between devices: CPU, CUDA and ROCm (torch calls both `cuda`), Apple's MPS, Intel's XPU.

No other package asks which type of device it has. The functions here ask torch what a device can do, so a
device that torch learns to use later works without a change.
"""
