/* The smallest program that ends with status 0, without a C library: what starting it costs is the runtime's. */
void _start(void)
{
#if defined(__x86_64__)
    __asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall");
#elif defined(__aarch64__)
    __asm__ volatile("mov x8, #93; mov x0, #0; svc #0");
#else
#error "no exit system call known for this architecture"
#endif
    __builtin_unreachable();
}
