/* One part of a program: enough for a compiler to chew on. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node { struct node *left, *right; unsigned key; char name[24]; };

static struct node *insert(struct node *root, unsigned key) {
    if (!root) {
        root = calloc(1, sizeof *root);
        if (!root) abort();
        root->key = key;
        snprintf(root->name, sizeof root->name, "%u-%x", key, key ^ SEED);
    } else if (key < root->key) root->left = insert(root->left, key);
    else if (key > root->key) root->right = insert(root->right, key);
    return root;
}

static unsigned fold(const struct node *root, unsigned sum) {
    if (!root) return sum;
    sum = fold(root->left, sum);
    for (const char *at = root->name; *at; at++) sum = (sum << 5 | sum >> 27) ^ (unsigned)toupper((unsigned char)*at);
    return fold(root->right, sum);
}

static void release(struct node *root) {
    if (!root) return;
    release(root->left);
    release(root->right);
    free(root);
}

static void sort(double *values, int count) {
    for (int gap = count / 2; gap > 0; gap /= 2)
        for (int i = gap; i < count; i++) {
            double value = values[i];
            int j = i;
            for (; j >= gap && values[j - gap] > value; j -= gap) values[j] = values[j - gap];
            values[j] = value;
        }
}

static unsigned decode(const unsigned char *code, int length) {
    unsigned stack[16] = {0}, top = 0;
    for (int i = 0; i < length; i++) switch (code[i] & 15) {
        case 0: stack[top & 15] = code[i]; break;
        case 1: stack[(top + 1) & 15] = stack[top & 15]; top++; break;
        case 2: stack[top & 15] += stack[(top - 1) & 15]; break;
        case 3: stack[top & 15] *= 2654435761u; break;
        case 4: stack[top & 15] /= (unsigned)SEED + 1; break;
        case 5: stack[top & 15] = ~stack[(top - 3) & 15]; break;
        case 6: stack[top & 15] ^= stack[(top - 2) & 15] >> 3; break;
        case 7: if (stack[top & 15] & 1) i += 2; break;
        case 8: top--; break;
        case 9: stack[top & 15] = (unsigned)(stack[top & 15] % 1000 * 1.5f); break;
        case 10: { unsigned swap = stack[0]; stack[0] = stack[top & 15]; stack[top & 15] = swap; break; }
        case 11: stack[top & 15] = stack[top & 15] << (code[i] >> 4) | 1; break;
        default: stack[top & 15] += code[i]; break;
    }
    return stack[0] ^ stack[top & 15];
}

unsigned PART(unsigned seed) {
    struct node *root = NULL;
    double values[200];
    unsigned char code[256];
    unsigned state = seed * 747796405u + SEED;
    for (int i = 0; i < 200; i++) {
        state = state * 1664525u + 1013904223u;
        root = insert(root, state >> 16);
        values[i] = (state >> 8) / 256.0;
    }
    sort(values, 200);
    for (int i = 0; i < 256; i++) code[i] = (unsigned char)((unsigned)values[i % 200] >> (i % 7));
    unsigned sum = fold(root, seed) ^ decode(code, 256);
    release(root);
    return sum ^ (unsigned)(values[17] * 3 + values[100]);
}
