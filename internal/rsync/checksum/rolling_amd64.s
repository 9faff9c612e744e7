#include "textflag.h"

// The weights of 32 bytes in s2: 32, 31, ... 1.
DATA weights<>+0x00(SB)/8, $0x191a1b1c1d1e1f20
DATA weights<>+0x08(SB)/8, $0x1112131415161718
DATA weights<>+0x10(SB)/8, $0x090a0b0c0d0e0f10
DATA weights<>+0x18(SB)/8, $0x0102030405060708
GLOBL weights<>(SB), RODATA|NOPTR, $32

// func sumAVX2(p []byte) (s1, s2 uint32)
//
// Y0 is s1, Y1 the sum of s1 before each step, which counts 32 times in s2, Y2
// the rest of s2; each is to be added up from 16 words, which may wrap.
TEXT ·sumAVX2(SB), NOSPLIT, $0-32
	MOVQ     p_base+0(FP), SI
	MOVQ     p_len+8(FP), CX
	VMOVDQU  weights<>(SB), Y6
	VPCMPEQB Y7, Y7, Y7
	VPABSB   Y7, Y7               // 32 bytes of 1
	VPXOR    Y0, Y0, Y0
	VPXOR    Y1, Y1, Y1
	VPXOR    Y2, Y2, Y2
	SHRQ     $5, CX
	JZ       total

step:
	VMOVDQU    (SI), Y3
	VPMADDUBSW Y3, Y7, Y4         // at most 256 or 8,064: nothing saturates
	VPMADDUBSW Y3, Y6, Y5
	VPADDW     Y0, Y1, Y1
	VPADDW     Y5, Y2, Y2
	VPADDW     Y4, Y0, Y0
	ADDQ       $32, SI
	DECQ       CX
	JNZ        step

total:
	VPSLLW       $5, Y1, Y1
	VPADDW       Y1, Y2, Y2
	VPCMPEQW     Y7, Y7, Y7
	VPABSW       Y7, Y7           // 16 words of 1
	VPMADDWD     Y7, Y0, Y0
	VPMADDWD     Y7, Y2, Y2
	VPHADDD      Y2, Y0, Y0       // in each half: two parts of s1, two of s2
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPHADDD      X0, X0, X0
	VMOVD        X0, AX
	VPEXTRD      $1, X0, BX
	VZEROUPPER
	MOVL AX, s1+24(FP)
	MOVL BX, s2+28(FP)
	RET
