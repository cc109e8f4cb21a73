// Writes down the address of each instruction of this thread between `begin` and `end`.
#include <signal.h>
#include <ucontext.h>
static long *to, room, count;
static void step(int, siginfo_t*, void* context) {
  if (count < room) to[count++] = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
}
extern "C" void begin(long* buffer, long size) {
  to = buffer, room = size, count = 0;
  struct sigaction action = {};
  action.sa_sigaction = step;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  asm volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");  // the processor's trap flag
}
extern "C" long end() {
  asm volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
  return count;
}
