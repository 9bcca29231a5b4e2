#include "board.h"

#include <stddef.h>
#include <sys/mman.h>

board_slot *board_new(int slots)
{
    void *map = mmap(NULL, (size_t)slots * sizeof(board_slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}
