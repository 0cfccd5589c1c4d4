-- An append takes its places at once: a number stands for it and the 999 after it. Who takes them one by one goes on to.
ALTER SEQUENCE platform.log_position INCREMENT BY 1000;
