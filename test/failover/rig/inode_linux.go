package rig

import (
	"encoding/binary"
	"net"
	"strconv"
	"syscall"
)

// What the kernel's sock_diag(7) is asked: numbers of its interface.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	headLen          = 16 // of a message
	askLen           = 56 // of a question
	inodeAt          = 68 // in an answer
)

// inodeOf is that of the socket with these two ends; "" where there is none, "0" where
// its process has closed it. It is asked for, not looked up in /proc/net/tcp: with
// thousands of connections on the machine that costs more than all else that a trial does.
func inodeOf(own, other *net.TCPAddr) string {
	s, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return ""
	}
	defer syscall.Close(s)
	host, net := binary.NativeEndian, binary.BigEndian
	b := make([]byte, headLen+askLen)
	host.PutUint32(b, uint32(len(b)))
	host.PutUint16(b[4:], sockDiagByFamily)
	host.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	ask := b[headLen:]
	ask[0], ask[1] = syscall.AF_INET, syscall.IPPROTO_TCP
	host.PutUint32(ask[4:], ^uint32(0)) // in any state
	id := ask[8:]
	net.PutUint16(id, uint16(own.Port))
	net.PutUint16(id[2:], uint16(other.Port))
	copy(id[4:], own.IP.To4())
	copy(id[20:], other.IP.To4())
	host.PutUint64(id[40:], ^uint64(0)) // of whatever cookie
	if err := syscall.Sendto(s, b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return ""
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(s, answer, 0)
	if err != nil || n < headLen+inodeAt+4 || host.Uint16(answer[4:]) != sockDiagByFamily {
		return ""
	}
	return strconv.FormatUint(uint64(host.Uint32(answer[headLen+inodeAt:])), 10)
}
